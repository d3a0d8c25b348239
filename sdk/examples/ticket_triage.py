"""ticket-triage: the instructions drown.

It sorts support tickets by the rules in its instructions, and like a model it sees only what fits its
context: the newest 4,000 characters of the conversation. The rules are the first message, so one day they
fall out, and from then on everything looks like "general". Resume it with any guidance, "read the rules
again" say, and it puts the rules and the guidance at the end of the conversation.
"""

from __future__ import annotations

import json
import random
import re

from pace import rest, workspace

from sickbay import Agent, Run, Verdict

WORK = workspace("ticket-triage")
CONTEXT = 4_000
RULES = (
    "RULES refund=billing invoice=billing crash=bugs error=bugs password=access login=access slow=performance"
)
WORDS = re.findall(r"(\w+)=(\w+)", RULES)

agent = Agent(
    "ticket-triage",
    instructions=RULES,
    memory={"messages": [{"role": "system", "content": RULES}], "sorted": 0, "obeyed": None},
    workspace=WORK,
    about="Sorts support tickets into queues",
    owner="support",
    heal=False,  # so that a human sees what it did
    while_paused="tickets wait unsorted; the team sorts by hand after an hour",
)


def read_ticket(number: int) -> str:
    """The text of a ticket in the inbox."""
    rng = random.Random(number)
    word = rng.choice(WORDS)[0]
    when = rng.choice(["night", "week", "month"])
    return f"Ticket {number}: hello, about the {word} last {when}, please help."


def visible() -> str:
    """What fits the context: the newest characters of the conversation."""
    return "\n".join(m["content"] for m in agent.memory["messages"])[-CONTEXT:]


def sort_ticket(ticket: str) -> str:
    """The queue for a ticket, by the rules that can still be seen."""
    rules = dict(re.findall(r"(\w+)=(\w+)", visible()))
    queue = next((queue for word, queue in rules.items() if word in ticket), "general")
    with (WORK / "queues.jsonl").open("a") as file:
        file.write(json.dumps({"ticket": ticket, "queue": queue}) + "\n")
    return queue


def is_in_the_right_queue(ticket: str, queue: str) -> Verdict:
    """Compare with the answer key, which the agent never sees."""
    right = next(its for word, its in WORDS if word in ticket)
    return Verdict(queue == right, f"sorted into {queue}, the rules say {right}")


def step(run: Run) -> None:
    """Sort one ticket and remember having done so."""
    messages = agent.memory["messages"]
    if run.guidance and run.guidance != agent.memory["obeyed"]:
        messages.append({"role": "system", "content": f"{RULES}\n{run.guidance}"})
        agent.memory["obeyed"] = run.guidance
    ticket = run.execute(read_ticket, agent.memory["sorted"])
    queue = run.execute(
        sort_ticket,
        ticket,
        expected="the queue that the rules name",
        verify=lambda queue: is_in_the_right_queue(ticket, queue),
    )
    messages += [{"role": "user", "content": ticket}, {"role": "assistant", "content": f"Queue: {queue}."}]
    agent.memory["sorted"] += 1
    if agent.memory["sorted"] % 10 == 0:
        run.checkpoint(f"{agent.memory['sorted']} tickets")
    rest()


if __name__ == "__main__":
    agent.supervise(step)
