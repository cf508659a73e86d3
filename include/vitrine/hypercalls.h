/* The calls that a guest's kernel can make to Vitrine: numbers, structures and answers. For C, C++ and
   assembly, and the one place where they are written down: the monitor is compiled with this file as well.
   docs/hypercalls.md says what each call does.

     CPUID 40000000h  EAX: highest leaf, EBX, ECX, EDX: signature
     CPUID 40000001h  EAX: version, EBX: calls that there are, bit n for call n

     VMCALL           EAX: call, EBX, ECX, EDX: arguments → EAX: answer

   Everything else stays, but for ECX and EDX where said. */
#ifndef VITRINE_HYPERCALLS_H
#define VITRINE_HYPERCALLS_H

/* CPUID. "Vitr" "ineV" "M" */
#define VITRINE_CPUID_SIGNATURE 0x40000000
#define VITRINE_CPUID_CALLS 0x40000001
#define VITRINE_SIGNATURE_EBX 0x72746956
#define VITRINE_SIGNATURE_ECX 0x56656e69
#define VITRINE_SIGNATURE_EDX 0x0000004d
#define VITRINE_CALLS_VERSION 1

/* Calls. */
#define VITRINE_CALL_NOTHING 0 /* → VITRINE_CALLS_VERSION */
/* EBX: array of VitrinePageUpdate, ECX: how many, EDX: VITRINE_FORGET_… → ECX: how many were done */
#define VITRINE_CALL_PAGE_TABLES 1
#define VITRINE_CALL_SWITCH 2     /* EBX: CR3 */
#define VITRINE_CALL_SHARE 3      /* EBX: physical address of a page, or VITRINE_SHARE_NOTHING */
#define VITRINE_CALL_INTERRUPTS 4 /* VITRINE_SHARED_ENABLED is set again, and VITRINE_SHARED_PENDING was */
#define VITRINE_CALL_HALT 5       /* Sets both interrupt flags and waits for an interrupt */
#define VITRINE_CALL_CLOCK 6      /* → EDX:ECX: nanoseconds since power-on */
#define VITRINE_CALL_CONSOLE 7    /* EBX: text, ECX: how many bytes → ECX: how many were written */
#define VITRINE_CALL_COUNT 8

/* Answers in EAX; success is 0 where nothing else is said. */
#define VITRINE_ERROR_CALL -1     /* there is no such call */
#define VITRINE_ERROR_ARGUMENT -2 /* a value that does not make sense, or too much at once */
#define VITRINE_ERROR_ADDRESS -3  /* what is there cannot be read or written so, or is not RAM */
#define VITRINE_ERROR_NO_CONSOLE -4

/* VITRINE_CALL_PAGE_TABLES. */
#define VITRINE_MOST_UPDATES 512
#define VITRINE_FORGET_NOTHING 0
#define VITRINE_FORGET_NON_GLOBAL 1 /* as a load of CR3 */
#define VITRINE_FORGET_ALL 2        /* global pages, too */
/* Bits of VitrinePageUpdate.page below the page. */
#define VITRINE_UPDATE_FORGET 1 /* INVLPG of the page */
#define VITRINE_UPDATE_WIDE 2   /* an entry of eight bytes, as with PAE */
#define VITRINE_UPDATE_SIZE 16

/* VITRINE_CALL_SHARE. */
#define VITRINE_SHARE_NOTHING 0xffffffff

/* VITRINE_CALL_CONSOLE. */
#define VITRINE_MOST_TEXT 4096

/* Offsets in the shared page. */
#define VITRINE_SHARED_ENABLED 0 /* the guest's: 0: maskable interrupts wait, whatever EFLAGS.IF says */
#define VITRINE_SHARED_PENDING 4 /* the monitor's: 1: one waits for VITRINE_CALL_INTERRUPTS */
#define VITRINE_SHARED_VERSION 8 /* the monitor's: changes with each VITRINE_SHARED_TIME */
#define VITRINE_SHARED_TIME \
  16 /* the monitor's: nanoseconds since power-on at the last interrupt or call that has to do with time */

#ifndef __ASSEMBLER__
#include <stdint.h>

/* One entry of a page table. */
struct VitrinePageUpdate {
  uint32_t entry; /* linear address of the entry, a multiple of its size */
  uint32_t page;  /* linear address of the page that it maps, and VITRINE_UPDATE_… */
  uint64_t value;
};

struct VitrineSharedPage {
  volatile uint32_t enabled;
  volatile uint32_t pending;
  volatile uint32_t version;
  uint32_t reserved;
  volatile uint64_t time;
};
#endif

#endif
