"""What a human says with a decision: a reason from the chips, a note, and words for the agent."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from django import forms

from checkpoints.proving import Scope
from checkpoints.services import aiming
from dashboard.contexts import holding
from dashboard.contexts.decision import PAUSE_REASONS, REASONS, UNDO_REASONS

SCOPES = [("", "All"), ("memory", "Memory"), ("workspace", "Workspace"), ("paths", "These files")]
RESUME = list(dict([*REASONS["resume"], *REASONS["question"]]).items())
LONGEST_GUIDANCE = 4_000
WHY = "Choose a reason: whoever reads the log next wants to know why."
NO_REASON = {"required": WHY, "invalid_choice": WHY}


class ReasonForm(forms.Form):
    reason = forms.ChoiceField(choices=RESUME, error_messages=NO_REASON)
    note = forms.CharField(required=False, max_length=400)

    def why(self) -> str:
        """The reason as the log keeps it."""
        reason, note = self.cleaned_data["reason"], self.cleaned_data["note"].strip()
        return f"{reason}: {note}" if note else reason


class PauseForm(ReasonForm):
    reason = forms.ChoiceField(choices=PAUSE_REASONS, error_messages=NO_REASON)


class DecideForm(ReasonForm):
    """`version` is the one that was shown; `shown_at` is when, for saying what came after it."""

    version = forms.IntegerField(min_value=0, max_value=2**62)
    shown_at = forms.FloatField(required=False, min_value=0, max_value=4e9)
    guidance = forms.CharField(required=False)
    probation = forms.BooleanField(required=False)

    def clean_guidance(self) -> str:
        """Browsers end lines with CR LF; the agent is told what was typed, all of it or nothing."""
        guidance: str = self.cleaned_data["guidance"].replace("\r\n", "\n")
        if len(guidance) > LONGEST_GUIDANCE:
            over = len(guidance) - LONGEST_GUIDANCE
            raise forms.ValidationError(
                f"It takes {LONGEST_GUIDANCE:,} characters: shorten this by {over:,}."
            )
        return guidance

    def seen_until(self) -> datetime | None:
        at = self.cleaned_data.get("shown_at")
        return datetime.fromtimestamp(at, UTC) if at else None


class ReasonToStop(forms.Select):
    """On the card it has chips of its own, beside those of resuming in the same form."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        return data.get("stop_reason" if data.get("from") == "card" else name)


class StopForm(DecideForm):
    reason = forms.ChoiceField(choices=REASONS["stop"], error_messages=NO_REASON, widget=ReasonToStop)


class StartForm(DecideForm):
    reason = forms.ChoiceField(choices=REASONS["start"], error_messages=NO_REASON)


class RollbackForm(DecideForm):
    """Where to, and how much of it; `path` may stand more than once, and then the memory stays."""

    reason = forms.ChoiceField(
        choices=list(dict([*RESUME, *REASONS["rollback"]]).items()), error_messages=NO_REASON
    )
    version = forms.IntegerField(required=False, min_value=0, max_value=2**62)
    checkpoint = forms.CharField(max_length=40)
    scope = forms.ChoiceField(required=False, choices=SCOPES)
    even_bad = forms.BooleanField(required=False)

    def clean_checkpoint(self) -> uuid.UUID | str:
        named: str = self.cleaned_data["checkpoint"]
        if named == aiming.LAST_KNOWN_GOOD:
            return named
        try:
            return uuid.UUID(named)
        except ValueError:
            raise forms.ValidationError("Choose a checkpoint of the list.") from None

    def wanted(self) -> aiming.Wanted:
        """What the verbs take."""
        said = self.cleaned_data
        paths = tuple(self.data.getlist("path")) if hasattr(self.data, "getlist") else ()
        scope = {
            "memory": Scope(workspace=False),
            "workspace": Scope(memory=False),
            "paths": Scope(memory=False, paths=paths),
        }.get(said["scope"])
        return aiming.Wanted(said["checkpoint"], self.why(), scope, said["even_bad"])

    def sentence(self) -> str:
        """What is wrong with it, where the page has no form to show it in."""
        return " ".join(str(error) for errors in self.errors.values() for error in errors)


class BackForm(DecideForm):
    """The page before a rollback: its address says where to and how much, so only the words are left."""

    reason = forms.ChoiceField(
        choices=list(dict([*REASONS["rollback"], *UNDO_REASONS]).items()), error_messages=NO_REASON
    )
    version = forms.IntegerField(required=False, min_value=0, max_value=2**62)
    incident = forms.IntegerField(required=False, min_value=0, max_value=2**62)
    even_bad = forms.BooleanField(required=False)

    def wanted(self, checkpoint: uuid.UUID, scope: Scope) -> aiming.Wanted:
        said = self.cleaned_data
        return aiming.Wanted(checkpoint, self.why(), scope, said["even_bad"], self.seen_until())


class TryForm(DecideForm):
    first = forms.CharField(max_length=63)


class HoldForm(forms.Form):
    """It stands beside the decision, so its reason has a name of its own."""

    hold_reason = forms.ChoiceField(choices=holding.REASONS, error_messages=NO_REASON)
    everywhere = forms.BooleanField(required=False)


class LiftForm(forms.Form):
    hold_reason = forms.ChoiceField(choices=holding.LIFT_REASONS, error_messages=NO_REASON)


class ConfirmForm(DecideForm):
    """The second person says the version alone: the words are the first one's."""

    reason = forms.ChoiceField(required=False)


class DeclineForm(forms.Form):
    note = forms.CharField(required=False, max_length=400)


class WithdrawForm(DecideForm):
    reason = forms.ChoiceField(required=False)


FORMS: dict[str, type[DecideForm]] = {"resume": DecideForm, "stop": StopForm, "start": StartForm}
