#!/bin/sh
# expect: accepted
sum=0
read -r numbers
for number in $numbers; do sum=$((sum + number)); done
echo "$sum"
