"""Retention: which releases may go, the plan that says so, and what carries it out."""
