"""A simulated shop with a known fault: does ordertrace say what is so, when, and of whom?"""
