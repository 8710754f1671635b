#define _POSIX_C_SOURCE 200809L
#include "table.h"

#include <stdlib.h>
#include <string.h>

void table_add(struct table *table, const char *word) {
    for (size_t i = 0; i < table->used; i++) {
        if (strcmp(table->entries[i].word, word) == 0) {
            table->entries[i].count++;
            return;
        }
    }
    if (table->used == table->room) {
        table->room = table->room ? table->room * 2 : 64;
        table->entries = realloc(table->entries, table->room * sizeof *table->entries);
        if (!table->entries) abort();
    }
    table->entries[table->used++] = (struct entry){ strdup(word), 1 };
}

static int compare(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    if (x->count != y->count) return x->count < y->count ? 1 : -1;
    return strcmp(x->word, y->word);
}

void table_sort(struct table *table) {
    qsort(table->entries, table->used, sizeof *table->entries, compare);
}

void table_free(struct table *table) {
    for (size_t i = 0; i < table->used; i++) free(table->entries[i].word);
    free(table->entries);
}
