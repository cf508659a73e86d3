# A shell runs a program of 2 MB COUNT times: `sh shell_loop.sh COUNT BUSYBOX`. Same protocol as the programs (runtime.c).
echo @ready
read line
i=0
while [ $i -lt $1 ]; do
  $2 true
  i=$((i + 1))
done
echo "@end 00000001 00000000"
read line
