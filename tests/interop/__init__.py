"""Real Celery clients with Trawl's worker, Celery's workers with Trawl's client; conftest.py has the plan."""
