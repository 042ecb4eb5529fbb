"""Training of the small YOLOv5 that finds handwritten hanja numerals.

See README.md beside this file; run as ``python3 -m train`` from ``model/``.
"""

NAMES = ("一", "二", "三", "四", "五", "六", "七", "八", "九", "十")
"""Class names; the index is the YOLO class id."""
