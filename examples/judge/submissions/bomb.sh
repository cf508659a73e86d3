#!/bin/sh
# expect: runtime error
bomb() {
  bomb | bomb &
}
bomb
wait
exit 1
