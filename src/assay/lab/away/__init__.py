"""Work that other processes and machines share: leases, requests, object storage, fleets."""
