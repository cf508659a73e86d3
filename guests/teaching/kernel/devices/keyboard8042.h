// The PS/2 keyboard behind the 8042 controller; scan codes of set 1, US layout.
#pragma once

void keyboard_init(void);
