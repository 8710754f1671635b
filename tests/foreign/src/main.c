/* Prints how often each word stands on standard input. */
#include "table.h"

#include <ctype.h>
#include <stdio.h>

int main(void) {
    struct table table = { 0 };
    char word[128];
    size_t length = 0;
    for (;;) {
        int c = getchar();
        if (c != EOF && isalpha(c)) {
            if (length + 1 < sizeof word) word[length++] = (char)tolower(c);
            continue;
        }
        if (length > 0) {
            word[length] = '\0';
            table_add(&table, word);
            length = 0;
        }
        if (c == EOF) break;
    }
    if (table.used > 0) table_sort(&table);
    for (size_t i = 0; i < table.used; i++)
        printf("%zu %s\n", table.entries[i].count, table.entries[i].word);
    table_free(&table);
    return 0;
}
