"""The figures that the paper publishes, transcribed once.

Svoboda, Masci, Monti, Bronstein, Guibas: *PeerNets: Exploiting Peer Wisdom
Against Adversarial Attacks*, ICLR 2019.
"""

# Test accuracy in [0, 1] of the unperturbed images, by data set and model:
# Table 3 (MNIST), Table 4 (CIFAR-10, PeerNets with graphs of 50 and 10 Monte
# Carlo runs), Table 5 (CIFAR-100, graphs of 500 and 5 runs).
ACCURACY = {
    ("mnist", "lenet5"): 0.986,
    ("mnist", "pr_lenet5"): 0.982,
    ("cifar10", "resnet32"): 0.9273,
    ("cifar10", "resnet32_v2"): 0.9417,
    ("cifar10", "pr_resnet32"): 0.8930,
    ("cifar10", "pr_resnet32_v2"): 0.9072,
    ("cifar100", "resnet110"): 0.7163,
    ("cifar100", "pr_resnet110"): 0.6640,
    ("cifar100", "pr_resnet110_v2"): 0.7066,
}
