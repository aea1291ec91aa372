from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from qdeploy.benchmark.charts.labels import Box, place_labels

FRAME = Box(0, 0, 600, 400)
points = st.lists(
    st.tuples(st.floats(40, 560), st.floats(30, 370)), min_size=1, max_size=12, unique=True
)


@given(points)
def test_names_stay_inside_and_rarely_hide_anything(places):
    sizes = [(60.0, 10.0)] * len(places)
    offsets = place_labels(places, sizes, FRAME, range(len(places)), 7)
    boxes = [
        Box.around(x + right, y + up, 60, 10)
        for (x, y), (right, up) in zip(places, offsets, strict=True)
    ]
    for box in boxes:
        assert box.overlap(FRAME) == box.area
    covered = sum(first.overlap(second) for first, second in combinations(boxes, 2))
    assert covered <= 0.2 * boxes[0].area * len(boxes)


def test_a_lone_name_stands_close_to_the_right():
    ((right, up),) = place_labels([(300, 200)], [(60, 10)], FRAME, [0], 7)
    assert (right, up) == (7 / 2 + 3 + 30, 0)


def test_who_chooses_first_gets_the_nearest_place():
    places, sizes = [(300.0, 200.0), (304.0, 200.0)], [(60.0, 10.0)] * 2
    for order in ((0, 1), (1, 0)):
        offsets = place_labels(places, sizes, FRAME, order, 7)
        first, second = (abs(complex(*offsets[i])) for i in order)
        assert first <= second


def test_areas():
    box = Box.around(10, 10, 4, 2)
    assert (box.left, box.bottom, box.right, box.top) == (8, 9, 12, 11)
    assert box.area == box.overlap(box) == 8
    assert box.overlap(Box.around(20, 10, 4, 2)) == 0
    assert box.overlap(Box.around(11, 10, 4, 2)) == 6
