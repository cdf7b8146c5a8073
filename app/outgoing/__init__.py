"""What all requests to others share: connections that believe no answer nobody asked for, and whom TLS trusts."""
