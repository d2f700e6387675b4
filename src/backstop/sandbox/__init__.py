"""A Kubernetes cluster in one Python process: API server, controllers, kubelet, and pods that are real processes."""
