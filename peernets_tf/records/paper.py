"""The figures of the paper's Tables 2 to 7.

Svoboda, Masci, Monti, Bronstein, Guibas: *PeerNets: Exploiting Peer Wisdom
Against Adversarial Attacks*, ICLR 2019. Rates are in [0, 1].
"""

# Test accuracy on unperturbed images, by data set and model. MNIST: Table 3.
# CIFAR-10: Table 4, PeerNets with graphs of 50 peers and 10 Monte Carlo runs.
# CIFAR-100: Table 5, PeerNets with graphs of 500 peers and 5 runs.
ACCURACY = {
    ("mnist", "lenet5"): 0.986,
    ("mnist", "pr_lenet5"): 0.982,
    ("cifar10", "resnet32"): 0.9273,
    ("cifar10", "resnet32_v2"): 0.9417,
    ("cifar10", "brelu_resnet32"): 0.8744,
    ("cifar10", "magnet_resnet32"): 0.9270,
    ("cifar10", "pr_resnet32"): 0.8930,
    ("cifar10", "pr_resnet32_v2"): 0.9072,
    ("cifar100", "resnet110"): 0.7163,
    ("cifar100", "pr_resnet110"): 0.6640,
    ("cifar100", "pr_resnet110_v2"): 0.7066,
}

# Table 2: the smallest perturbations that fool (CIFAR-10). By model and attack:
# fooling rate, mean L2 norm, mean L-infinity norm, on the 0-255 pixel scale.
# The printed table lacks one L2 norm of ResNet-32: 30.06 stands between the
# rows of FGSM and PGD. It is PGD's: an L-infinity norm of 0.62 allows an L2
# norm of at most 34.4, and FGSM, which changes every pixel by the same amount,
# would have about 218.
SAMPLE_SPECIFIC = {
    ("resnet32", "gradient_descent"): (0.7490, 118.39, 15.69),
    ("resnet32", "fgsm"): (0.9897, None, 3.93),
    ("resnet32", "pgd"): (1.0, 30.06, 0.62),
    ("pr_resnet32", "gradient_descent"): (0.2980, 238.72, 39.39),
    ("pr_resnet32", "fgsm"): (0.9304, 627.41, 11.90),
    ("pr_resnet32", "pgd"): (1.0, 400.32, 16.25),
}

# Tables 3 to 5: universal perturbations. By data set, model, graph size N and
# Monte Carlo runs M (0 for models without peers), then by rho: accuracy and
# fooling rate. N and M are None for MNIST, because Table 3 does not name them;
# Section 4.1 says 50 and 10.
UNIVERSAL = {
    ("mnist", "lenet5", 0, 0): {
        0.2: (0.927, 0.071),
        0.4: (0.339, 0.660),
        0.6: (0.141, 0.859),
        0.8: (0.079, 0.922),
        1.0: (0.082, 0.917),
    },
    ("mnist", "pr_lenet5", None, None): {
        0.2: (0.948, 0.046),
        0.4: (0.933, 0.060),
        0.6: (0.877, 0.117),
        0.8: (0.532, 0.464),
        1.0: (0.501, 0.501),
    },
    ("cifar10", "resnet32", 0, 0): {
        0.04: (0.5527, 0.4442),
        0.08: (0.2684, 0.7314),
        0.10: (0.2274, 0.7734),
    },
    ("cifar10", "resnet32_v2", 0, 0): {
        0.04: (0.4451, 0.5532),
        0.08: (0.1665, 0.8340),
        0.10: (0.1258, 0.8758),
    },
    # BReLU + GDA.
    ("cifar10", "brelu_resnet32", 0, 0): {
        0.04: (0.8701, 0.0630),
        0.08: (0.7457, 0.2399),
        0.10: (0.6191, 0.3748),
    },
    # MagNet in front of ResNet-32.
    ("cifar10", "magnet_resnet32", 0, 0): {
        0.04: (0.5709, 0.4250),
        0.08: (0.2948, 0.7050),
        0.10: (0.2561, 0.7435),
    },
    ("cifar10", "pr_resnet32", 50, 1): {
        0.04: (0.8727, 0.0798),
        0.08: (0.8243, 0.1408),
        0.10: (0.6933, 0.2880),
    },
    ("cifar10", "pr_resnet32", 50, 10): {
        0.04: (0.8727, 0.0713),
        0.08: (0.8332, 0.1299),
        0.10: (0.7001, 0.2831),
    },
    ("cifar10", "pr_resnet32", 100, 5): {
        0.04: (0.8733, 0.0743),
        0.08: (0.8337, 0.1320),
        0.10: (0.7011, 0.2819),
    },
    ("cifar10", "pr_resnet32_v2", 50, 10): {
        0.04: (0.8526, 0.1105),
        0.08: (0.7546, 0.2220),
        0.10: (0.6075, 0.3814),
    },
    ("cifar10", "pr_resnet32_v2", 100, 5): {
        0.04: (0.8535, 0.1125),
        0.08: (0.7594, 0.2182),
        0.10: (0.6110, 0.3777),
    },
    ("cifar100", "resnet110", 0, 0): {
        0.02: (0.4549, 0.4978),
        0.04: (0.2099, 0.7764),
        0.06: (0.1274, 0.8656),
    },
    ("cifar100", "pr_resnet110", 500, 5): {
        0.02: (0.6147, 0.2365),
        0.04: (0.5261, 0.3859),
        0.06: (0.4464, 0.4954),
    },
    ("cifar100", "pr_resnet110_v2", 500, 5): {
        0.02: (0.6371, 0.2284),
        0.04: (0.5640, 0.3501),
        0.06: (0.3674, 0.5976),
    },
}

# Table 6: accuracy on CIFAR-10 without an attack, and under the attack of
# Madry's challenge. ResNet-32 A and B had adversarial training, A with the
# challenge's hyper-parameters and B with those of Table 1. PR-ResNet-32 had
# none.
ADVERSARIAL_TRAINING = {
    "resnet32_a": (0.7886, 0.4547),
    "resnet32_b": (0.7559, 0.4253),
    "pr_resnet32": (0.7744, 0.6476),
}

# Table 7: fooling rates on 100 images of CIFAR-10, by model, kind of attack and
# radius on the 0-255 pixel scale: of the white-box attack by Carlini and
# Wagner's loss, and of the black-box attack by finite differences. The paper
# names neither the differences' width nor the graphs of peers.
QUERIES = {
    ("resnet32", "single", 8.0): (0.82, 0.82),
    ("pr_resnet32", "single", 8.0): (0.34, 0.14),
    ("resnet32", "iterative", 0.5): (0.41, 0.41),
    ("resnet32", "iterative", 8.0): (1.0, 1.0),
    ("pr_resnet32", "iterative", 8.0): (0.45, 0.28),
    ("pr_resnet32", "iterative", 12.0): (0.63, 0.37),
}

# The attack of Table 6, as records name it. The paper left it "as provided by
# the repository": 10 steps of 2 in a ball of 8 on the 0-255 pixel scale.
CHALLENGE_ATTACK = (
    "PGD(epsilon=0.03137254901960784, steps=10, "
    "step_size=0.00784313725490196, norm='linf', loss='cross_entropy', "
    "targeted=False, random_start=True, restarts=1, keep_best=False, "
    "stop_when_fooled=False)"
)
