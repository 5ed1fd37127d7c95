/* test_weight_files.c — safetensors files and the vocabulary, written and read again. Files made to be refused are
 * tests/hostile/test_f5_files.py's. */
#include <dirent.h>
#include <sys/stat.h>

#include "tests/c/temp_folder.h"
#include "weights/safetensors.h"
#include "weights/vocab.h"

/* ---- safetensors ------------------------------------------------------------------------------------------------ */

static void test_safetensors_round_trip(void **state) {
    fixture *f = *state;
    f5_error error = {0};
    safetensors_writer *w;
    static const int64_t dims[] = {2, 3};
    static const float a[6] = {1, 2, 3, 4, 5, 6};
    static const uint8_t b[3] = {7, 8, 9};
    OK(safetensors_writer_open(&w, f->path, &error));
    OK(safetensors_writer_metadata(w, "say \"it\"", "two\nlines \xe2\x82\xac", 13, &error));
    OK(safetensors_writer_declare(w, "z", ST_F32, 2, dims, &error));
    OK(safetensors_writer_declare(w, "empty", ST_I64, 2, (int64_t[]){0, 5}, &error));
    OK(safetensors_writer_declare(w, "a", ST_U8, 1, (int64_t[]){3}, &error));
    OK(safetensors_writer_declare(w, "scalar", ST_F64, 0, NULL, &error));
    OK(safetensors_writer_begin(w, &error));
    OK(safetensors_writer_data(w, a, 10, &error)); /* in pieces that fit no tensor */
    OK(safetensors_writer_data(w, (const char *)a + 10, sizeof a - 10, &error));
    OK(safetensors_writer_data(w, b, sizeof b, &error));
    OK(safetensors_writer_data(w, &(double){0.5}, sizeof(double), &error));
    assert_int_equal(safetensors_writer_data(w, b, 1, NULL), F5_E_ARGUMENT);
    assert_int_equal(access(f->path, F_OK), -1); /* not before finish */
    OK(safetensors_writer_finish(w, &error));
    safetensors_writer_close(w);

    safetensors st;
    OK(safetensors_open(&st, f->path, &error));
    assert_int_equal(st.count, 4);
    const safetensors_tensor *z = safetensors_find(&st, "z"), *t = safetensors_find(&st, "a");
    assert_non_null(z);
    assert_int_equal(z->rank, 2);
    assert_int_equal(z->dims[1], 3);
    assert_int_equal(z->elements, 6);
    assert_memory_equal(z->data, a, sizeof a);
    assert_int_equal((uintptr_t)z->data % 64, 0);
    assert_memory_equal(t->data, b, sizeof b);
    assert_int_equal(t->dtype, ST_U8);
    assert_int_equal(safetensors_find(&st, "empty")->elements, 0);
    assert_int_equal(safetensors_find(&st, "scalar")->elements, 1);
    double half;
    memcpy(&half, safetensors_find(&st, "scalar")->data, sizeof half);
    assert_true(half == 0.5);
    assert_null(safetensors_find(&st, "zz"));
    assert_string_equal(safetensors_metadata(&st, "say \"it\"")->value, "two\nlines \xe2\x82\xac");
    assert_null(safetensors_metadata(&st, "say"));
    safetensors_close(&st);
    safetensors_close(&st);
}

static int count_files(const char *folder) {
    int files = 0;
    DIR *d = opendir(folder);
    for (const struct dirent *entry; (entry = readdir(d));) files += entry->d_name[0] != '.';
    closedir(d);
    return files;
}

/* What fails or is given up leaves the old file as it was, and nothing else. */
static void test_writer_gives_up(void **state) {
    fixture *f = *state;
    f5_error error = {0};
    struct stat before, after;
    assert_int_equal(stat(f->path, &before), 0);
    safetensors_writer *w;
    OK(safetensors_writer_open(&w, f->path, &error));
    OK(safetensors_writer_declare(w, "a", ST_F32, 1, (int64_t[]){8}, &error));
    assert_int_equal(safetensors_writer_declare(w, "b", ST_F32, 1, (int64_t[]){-1}, NULL), F5_E_ARGUMENT);
    assert_int_equal(safetensors_writer_declare(w, "b", ST_F32, 2, (int64_t[]){INT64_MAX, 3}, NULL), F5_E_ARGUMENT);
    assert_int_equal(safetensors_writer_finish(w, NULL), F5_E_ARGUMENT);
    OK(safetensors_writer_begin(w, &error));
    assert_int_equal(safetensors_writer_finish(w, NULL), F5_E_ARGUMENT); /* data is missing */
    safetensors_writer_close(w);
    assert_int_equal(count_files(f->folder), 1); /* the temporary is gone */
    assert_int_equal(stat(f->path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(safetensors_writer_open(&w, f->folder, &error), F5_E_IO);
    assert_int_equal(safetensors_writer_open(&w, "/nonexistent/model.f5", &error), F5_E_IO);
    assert_non_null(strstr(error.message, "/nonexistent/model.f5"));
    assert_null(w);
    safetensors_writer_close(w);
}

/* ---- vocabulary ------------------------------------------------------------------------------------------------- */

static void test_vocab(void **state) {
    (void)state;
    f5_error error = {0};
    vocab v;
    static const char text[] = " \r\na\nn\xc7\x90\n\nni3\rb\na\nlast";
    OK(vocab_parse(&v, text, strlen(text), "test", &error));
    assert_int_equal(v.size, 8);
    assert_int_equal(vocab_find(&v, " ", 1), 0);
    assert_int_equal(vocab_find(&v, "n\xc7\x90", 3), 2);
    assert_int_equal(vocab_find(&v, "", 0), 3);
    assert_int_equal(vocab_find(&v, "ni3", 3), 4); /* a lone CR ends a line in text mode */
    assert_int_equal(vocab_find(&v, "b", 1), 5);
    assert_int_equal(vocab_find(&v, "a", 1), 6); /* the last of two */
    assert_int_equal(v.length[1], 1);
    assert_memory_equal(v.token[1], "a", 1);
    assert_int_equal(vocab_find(&v, "last", 4), 7);
    assert_int_equal(vocab_find(&v, "las", 3), -1);
    vocab_free(&v);
    assert_int_equal(vocab_find(&v, "a", 1), -1);
    vocab_free(&v);
    static const struct {
        const char *text;
        size_t bytes;
        const char *reason;
    } bad[] = {{"", 0, "empty"}, {"a\0b", 3, "NUL"}, {"a\n\xff\n", 4, "byte 2"}, {"\xe2\x82", 2, "UTF-8"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(vocab_parse(&v, bad[i].text, bad[i].bytes, "vocab.txt", &error), F5_E_FORMAT);
        assert_non_null(strstr(error.message, bad[i].reason));
        assert_non_null(strstr(error.message, "vocab.txt"));
    }
}

static void test_vocab_large(void **state) {
    (void)state;
    f5_error error = {0};
    size_t lines = 1000001, bytes = 0;
    char *text = malloc(lines * 8);
    for (size_t i = 0; i < lines; i++) bytes += (size_t)sprintf(text + bytes, "%zu\n", i);
    vocab v;
    assert_int_equal(vocab_parse(&v, text, bytes, "test", NULL), F5_E_FORMAT); /* a line too many */
    bytes -= strlen("1000000\n");
    OK(vocab_parse(&v, text, bytes, "test", &error));
    for (int32_t i = 0; i < v.size; i += 997) assert_int_equal(vocab_find(&v, v.token[i], v.length[i]), i);
    assert_int_equal(vocab_find(&v, "1000000", 7), -1);
    vocab_free(&v);
    free(text);
}

/* The released vocabulary, where its copy lies beside the checkout. */
static void test_vocab_released(void **state) {
    (void)state;
    f5_error error = {0};
    char path[512], text[16384];
    snprintf(path, sizeof path, "%.*s../../../shared/data/emilia_zh_en_pinyin_vocab.txt",
             (int)(strrchr(__FILE__, '/') ? strrchr(__FILE__, '/') - __FILE__ + 1 : 0), __FILE__);
    FILE *file = fopen(path, "rb");
    if (!file) skip();
    size_t bytes = fread(text, 1, sizeof text, file);
    fclose(file);
    vocab v;
    OK(vocab_parse(&v, text, bytes, path, &error));
    assert_int_equal(v.size, 2545);
    assert_int_equal(vocab_find(&v, " ", 1), 0);
    for (int32_t i = 0; i < v.size; i++) assert_int_equal(vocab_find(&v, v.token[i], v.length[i]), i);
    vocab_free(&v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safetensors_round_trip),
        cmocka_unit_test(test_writer_gives_up),
        cmocka_unit_test(test_vocab),
        cmocka_unit_test(test_vocab_large),
        cmocka_unit_test(test_vocab_released),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
