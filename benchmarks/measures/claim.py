"""Claims of 64 messages, with the acks of the 64 before, beside a backlog of 200,000."""

from benchmarks.visit import Figures, Visit


def measure(visit: Visit) -> Figures:
    """Milliseconds, a value for each claim."""
    visit.begin_anew()
    sizes = visit.sizes
    seconds = visit.driver.ask("claim", waiting=sizes.claim_waiting, claims=sizes.claims)
    return {"claim": [1000 * each for each in seconds]}
