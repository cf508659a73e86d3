#!/usr/bin/python3
# expect: runtime error
print(open("/etc/shadow").read())
