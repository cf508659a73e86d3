// The console: what is typed on the keyboard and on the serial line, in lines; and what is printed, on the
// screen and on the serial line. Editing: backspace; control-U forgets the line, control-D ends the
// input, control-C kills the foreground job.
#pragma once

void console_init(void);
void console_put(char character);
void console_input(char character);  // from the interrupt handlers

int console_read(char* to, int size);  // waits for a line; 0 is the end of the input, -1 killed
int console_write(const char* from, int size);
void console_set_foreground(int group);
