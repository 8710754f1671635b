#ifndef TABLE_H
#define TABLE_H
#include <stddef.h>

/* Words and how often each was seen. */
struct entry { char *word; size_t count; };
struct table { struct entry *entries; size_t used, room; };

void table_add(struct table *table, const char *word);
void table_sort(struct table *table); /* most frequent first, then by the alphabet */
void table_free(struct table *table);

#endif
