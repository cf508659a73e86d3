// Pipes: a page of memory with a reading end and a writing end.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct File;
struct Pipe;

bool pipe_create(struct File* ends[2]);  // ends[0] reads
void pipe_close(struct Pipe* pipe, uint32_t flags);
int pipe_read(struct Pipe* pipe, char* to, int size);           // 0: empty, and no writer is left
int pipe_write(struct Pipe* pipe, const char* from, int size);  // -1: no reader is left
