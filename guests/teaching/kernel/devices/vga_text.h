// The screen: 80 by 25 characters at 0xb8000, and the 6845's cursor.
#pragma once

void vga_text_init(void);
void vga_text_put(char character);
