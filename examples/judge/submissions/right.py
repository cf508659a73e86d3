#!/usr/bin/python3
# expect: accepted
import sys
print(sum(int(word) for word in sys.stdin.read().split()))
