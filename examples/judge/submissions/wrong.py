#!/usr/bin/python3
# expect: wrong answer
print(6)
