"""What routing costs and saves, computed: of a workload, of the traffic in a ledger, and of what might have been."""
