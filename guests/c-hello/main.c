/* WASI 0.1 from C: arguments, one environment variable, standard input, a file under /data, and the
 * exit status that the first argument asks for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    puts("hello from C");
    for (int i = 0; i < argc; i++) printf("arg %d: %s\n", i, argv[i]);
    const char *name = getenv("NAME");
    printf("env NAME=%s\n", name ? name : "(not granted)");

    char line[128];
    if (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        printf("stdin: %s\n", line);
    }
    FILE *file = fopen("/data/c.txt", "w");
    if (file) {
        fputs("written by C\n", file);
        fclose(file);
        puts("file: written");
    } else {
        perror("file: refused");
    }
    printf("pi is about %.5f\n", 355.0 / 113.0);
    return argc > 1 ? atoi(argv[1]) : 0;
}
