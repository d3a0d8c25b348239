"""The cast: alice operates, bob watches, charlie is outside."""

from __future__ import annotations

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from agents.models import Membership, Project, Role, User

# A million rounds for each of the cast cost most of a test's time; any server verifies one round as well.
PBKDF2PasswordHasher.iterations = 1


@pytest.fixture
def project(db: None) -> Project:
    return Project.objects.create(name="main")


@pytest.fixture
def alice(project: Project) -> User:
    return member(project, "alice@example.com", "Alice", Role.OPERATOR)


@pytest.fixture
def bob(project: Project) -> User:
    return member(project, "bob@example.com", "Bob", Role.VIEWER)


@pytest.fixture
def charlie(db: None) -> User:
    elsewhere = Project.objects.create(name="elsewhere")
    return member(elsewhere, "charlie@example.com", "Charlie", Role.ADMIN)


def member(project: Project, email: str, name: str, role: Role) -> User:
    user = User.objects.create_user(email, "a long enough one", name=name)
    Membership.objects.create(project=project, user=user, role=role)
    return user
