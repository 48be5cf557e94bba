/* An HTTP handler in the manner of CGI (RFC 3875): the request is in the environment and on standard
 * input; the answer is printed, headers first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

int main(void) {
    const char *path = variable("PATH_INFO");
    const char *query = variable("QUERY_STRING");
    puts("Content-Type: text/plain; charset=utf-8");
    if (*path && strcmp(path, "/") != 0) {
        puts("Status: 404 Not Found\n");
        puts("There is nothing here.");
        return 0;
    }
    puts("");
    const char *name = strncmp(query, "name=", 5) == 0 ? query + 5 : "world";
    printf("Hello, %s!\n", name);
    return 0;
}
