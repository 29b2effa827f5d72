"""What MoEngage has been sent, and how it differs from what MoEngage or a source has."""
