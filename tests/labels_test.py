"""Text of records as labels."""

from peernets_tf.pictures import labels


def test_a_label_is_one_short_line():
    assert labels.short("a\nb") == "a\\nb"
    assert labels.short(50 * "x") == 37 * "x" + "..."
    assert labels.network("pr_lenet5") == "PR-LeNet-5"
    assert labels.dataset("mnist") == "MNIST"


def test_names_are_listed_once():
    assert labels.listed(["A"]) == "A"
    assert labels.listed(["A", "B", "A", "C"]) == "A, B and C"


def test_numbers_of_images():
    assert labels.images([1000, 1000]) == "1,000 test images"
    assert labels.images([1000, 200]) == "200 to 1,000 test images"


def test_names_of_files_have_no_folders():
    assert labels.file_name("../my data.npz") == "my_data_npz"
    assert labels.file_name("..") == "other"
