// The shell. `command argument… <input >output >>output | command… &`, several of them with `;`, comments
// with `#`. Built in: cd, exit. With a file as argument it runs the file.
#include "user/library/pane.h"

enum { kMaxLine = 256, kMaxPipeline = 16, kInput = 0, kOutput = 1 };

struct Command {
  char* arguments[kMaxArguments];
  int count;
  char* input;
  char* output;
  int output_flags;
};

// The words of the current line, each closed with a zero.
static char words[kMaxLine * 2];
static int words_used;

static bool is_special(char character) {
  return strchr("|<>&;#", character) != NULL;
}

// Takes the next word or special character off the line. NULL: the line has ended.
static char* next_token(char** line) {
  char* cursor = *line;
  while (*cursor == ' ' || *cursor == '\t' || *cursor == '\n') ++cursor;
  char* token = cursor;
  if (*cursor == 0 || *cursor == '#') {
    *line = cursor;
    return NULL;
  }
  if (is_special(*cursor)) {
    cursor += cursor[0] == '>' && cursor[1] == '>' ? 2 : 1;
  } else {
    while (*cursor && !strchr(" \t\n", *cursor) && !is_special(*cursor)) ++cursor;
  }
  *line = cursor;
  return token;
}

// Reads words and redirections up to |, &, ; or the end, and returns that character.
static char parse(char** line, struct Command* command) {
  *command = (struct Command){.count = 0};
  char** target = NULL;
  for (;;) {
    char* token = next_token(line);
    if (!token) return 0;
    int length = (int)(*line - token);
    if (is_special(*token)) {
      if (*token != '<' && *token != '>') return *token;
      target = *token == '<' ? &command->input : &command->output;
      if (*token == '>') command->output_flags = length == 2 ? kOpenAppend : kOpenTruncate;
      continue;
    }
    char* word = words + words_used;
    words_used += length + 1;
    memcpy(word, token, (size_t)length);
    word[length] = 0;
    if (target) {
      *target = word;
      target = NULL;
    } else if (command->count < kMaxArguments - 1) {
      command->arguments[command->count++] = word;
    }
  }
}

// Makes `number` stand for the file.
static void redirect(int number, const char* path, int flags) {
  close(number);
  if (open(path, flags) != number) fail("sh: cannot open %s\n", path);
}

static void replace(int number, int file) {
  close(number);
  dup(file);
  close(file);
}

// In the child: runs the command in its place.
static void run_child(struct Command* command) {
  if (command->input) redirect(kInput, command->input, kOpenRead);
  if (command->output) redirect(kOutput, command->output, kOpenWrite | kOpenCreate | command->output_flags);
  char* name = command->arguments[0];
  exec(name, command->arguments);
  char path[kMaxPath] = "/bin/";
  copy_string(path + 5, name, sizeof path - 5);
  if (!strchr(name, '/')) exec(path, command->arguments);
  fail("sh: %s: not found\n", name);
}

static bool run_built_in(struct Command* command) {
  if (strcmp(command->arguments[0], "cd") == 0) {
    const char* path = command->count > 1 ? command->arguments[1] : "/";
    if (chdir(path) < 0) print("cd: no directory %s\n", path);
    return true;
  }
  if (strcmp(command->arguments[0], "exit") == 0) {
    exit(command->count > 1 ? number_of(command->arguments[1]) : 0);
  }
  return false;
}

// Starts one command of a pipeline. `input` is the pipe from the one before, or -1; the answer is the pipe
// to the one after.
static int start(struct Command* command, int input, bool pipe_follows, int* group, int* pid) {
  int ends[2] = {-1, -1};
  if (pipe_follows && pipe(ends) < 0) return -1;
  *pid = fork();
  if (*pid == 0) {
    set_group(*group ? *group : getpid());
    if (input >= 0) replace(kInput, input);
    if (pipe_follows) {
      close(ends[0]);
      replace(kOutput, ends[1]);
    }
    run_child(command);
  }
  if (*pid > 0 && *group == 0) *group = *pid;
  if (input >= 0) close(input);
  if (pipe_follows) close(ends[1]);
  return ends[0];
}

static void run_pipeline(char** line, char* stop) {
  int input = -1;
  int group = 0;
  int pids[kMaxPipeline];
  int count = 0;
  for (;;) {
    struct Command command;
    *stop = parse(line, &command);
    if (command.count == 0) break;
    if (*stop != '|' && input < 0 && run_built_in(&command)) break;
    if (count == kMaxPipeline) break;
    input = start(&command, input, *stop == '|', &group, &pids[count]);
    ++count;
    if (*stop != '|') break;
  }
  if (input >= 0) close(input);
  if (*stop == '&') return;
  foreground(group);
  for (int left = count; left > 0;) {
    int pid = wait(NULL);
    if (pid < 0) break;
    for (int i = 0; i < count; ++i) left -= pids[i] == pid;
  }
  foreground(0);
}

static void run_line(char* line) {
  char stop;
  words_used = 0;
  do {
    run_pipeline(&line, &stop);
  } while (stop == ';' || stop == '&');
}

int main(int count, char** arguments) {
  static char line[kMaxLine];
  int input = kInput;
  if (count > 1) {
    input = open(arguments[1], kOpenRead);
    if (input < 0) fail("sh: cannot open %s\n", arguments[1]);
  }
  for (;;) {
    if (input == kInput) print("$ ");
    if (read_line(input, line, sizeof line) <= 0) return 0;
    run_line(line);
  }
}
