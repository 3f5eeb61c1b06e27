"""What the kubelet says of image pulls, in events and in container statuses. Pure."""
