/* config_file.h — upstream's TOML files (f5_tts/infer/examples): options by their names, and voices for tags.
 *
 *   ref_audio = "main.wav"             any option of the command by its long name; the command line wins over it
 *   [voices.town]                      a voice that [town] in the text switches to
 *   ref_audio, ref_text, speed         its recording, the recording's words, its pace
 *
 * Files to read are looked for from the current folder, then beside the TOML file; upstream's "infer/examples/..." from
 * the folders above it too. As upstream, an empty text is a value not given, [voices.main] is only taken where there is
 * no ref_audio above it, and keys that are no options are passed over, here with a warning. */
#ifndef F5_CONFIG_FILE_H
#define F5_CONFIG_FILE_H

#include "host/files/toml.h"
#include "host/program/cli.h"

#define CONFIG_MAX_VOICES 256

typedef struct {
    const char *name;      /* letters, digits and _ */
    const char *ref_audio; /* where it was found */
    const char *ref_text;  /* NULL: not given */
    float speed;           /* 0: not given */
    int line;
} config_voice;

typedef struct {
    toml_file toml;
    config_voice voice[CONFIG_MAX_VOICES]; /* [n_voices] but "main" */
    int n_voices;
    config_voice main; /* name NULL: none */
    char **owned;      /* [n_owned] paths made here */
    int n_owned;
} config_file;

/* Reads a file and gives the options their values; the file's texts are theirs until config_close. Errors name file and
 * line: those of toml_read, F5_E_ARGUMENT. config_close follows, also after an error. path must outlive it. */
f5_status config_open(config_file *c, const char *path, const cli_option *options, const cli_command *command,
                      f5_error *error);
void config_close(config_file *c);

/* A file as it is written in the TOML file, where it lies: value itself where nothing is found. NULL: no memory. */
const char *config_find_file(config_file *c, const char *value);

#endif
