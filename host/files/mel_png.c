/* mel_png.c — draws one or two pixel columns a frame and four pixel rows a band in memory; libpng writes them. Colours:
 * D. A. Green's cubehelix (Bull. Astr. Soc. India 39, 289, 2011): luminance rises evenly while the hue turns, so that
 * the picture keeps its order in grey too. */
#include "host/files/mel_png.h"

#include <math.h>
#include <png.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "host/files/output_file.h"

enum {
    BAND_PIXELS = 4,   /* height of a band */
    AXIS_PIXELS = 14,  /* strip below with ticks and seconds */
    MAX_WIDTH = 16384, /* pixels; of more frames several share a column */
    DIGIT_WIDTH = 3,
    DIGIT_HEIGHT = 5
};

typedef struct {
    png_byte *rgb; /* [height,width,3] */
    int32_t width, height;
} canvas;

static void set_pixel(canvas *c, int32_t x, int32_t y, const png_byte rgb[3]) {
    if (x < 0 || x >= c->width || y < 0 || y >= c->height) return;
    memcpy(c->rgb + 3 * ((size_t)y * (size_t)c->width + (size_t)x), rgb, 3);
}

/* v in 0..1 to a colour: start 0.5, -1.5 turns, saturation 1, gamma 1. */
static void cubehelix(double v, png_byte rgb[3]) {
    double angle = 2 * M_PI * (0.5 / 3 + 1 - 1.5 * v), amplitude = v * (1 - v) / 2;
    double c = amplitude * cos(angle), s = amplitude * sin(angle);
    double channel[3] = {v - 0.14861 * c + 1.78277 * s, v - 0.29227 * c - 0.90649 * s, v + 1.97294 * c};
    for (int i = 0; i < 3; i++) rgb[i] = (png_byte)(255 * fmin(fmax(channel[i], 0), 1) + 0.5);
}

/* Writes a number with its upper left corner at (x,y), in digits of 3 by 5 pixels. */
static void draw_number(canvas *c, int32_t x, int32_t y, int32_t number, const png_byte rgb[3]) {
    static const char digits[10][DIGIT_HEIGHT][DIGIT_WIDTH + 1] = {
        {"###", "# #", "# #", "# #", "###"}, {" # ", "## ", " # ", " # ", "###"}, {"###", "  #", "###", "#  ", "###"},
        {"###", "  #", "###", "  #", "###"}, {"# #", "# #", "###", "  #", "  #"}, {"###", "#  ", "###", "  #", "###"},
        {"###", "#  ", "###", "# #", "###"}, {"###", "  #", " # ", " # ", " # "}, {"###", "# #", "###", "# #", "###"},
        {"###", "# #", "###", "  #", "###"}};
    char text[12];
    snprintf(text, sizeof text, "%d", number);
    for (const char *d = text; *d; d++, x += DIGIT_WIDTH + 1)
        for (int32_t row = 0; row < DIGIT_HEIGHT; row++)
            for (int32_t col = 0; col < DIGIT_WIDTH; col++)
                if (digits[*d - '0'][row][col] == '#') set_pixel(c, x + col, y + row, rgb);
}

static void draw_axis(canvas *c, int32_t top, double pixels_per_second) {
    static const png_byte ink[3] = {40, 40, 40};
    int32_t step = 1; /* seconds between numbers, so that they do not touch */
    for (int i = 0; step * pixels_per_second < 24; i++) step = i % 3 == 1 ? step * 5 / 2 : step * 2; /* 1 2 5 10 20 */
    for (int32_t second = 0; second * pixels_per_second < c->width; second++) {
        int32_t x = (int32_t)(second * pixels_per_second);
        bool numbered = second % step == 0;
        for (int32_t y = top; y < top + (numbered ? 5 : 3); y++) set_pixel(c, x, y, ink);
        if (numbered) draw_number(c, x + 2, top + 6, second, ink);
    }
}

static int compare_floats(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The 1st percentile and the greatest value. */
static f5_status value_range(const float *mel, size_t n, float *low, float *high, f5_error *error) {
    float *sorted = malloc(n * sizeof *sorted);
    if (!sorted) return f5_fail(error, F5_E_MEMORY, "no memory for a picture");
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (isfinite(mel[i])) sorted[kept++] = mel[i];
    qsort(sorted, kept, sizeof *sorted, compare_floats);
    *low = kept ? sorted[kept / 100] : 0;
    *high = kept ? sorted[kept - 1] : 1;
    if (!(*high > *low)) *high = *low + 1;
    free(sorted);
    return F5_OK;
}

static void draw_mel(canvas *c, const float *mel, int32_t frames, int32_t bands, int32_t zoom, float low, float high) {
    for (int32_t n = 0; n < frames; n++)
        for (int32_t b = 0; b < bands; b++) {
            float value = mel[(int64_t)n * bands + b];
            png_byte rgb[3];
            cubehelix(isfinite(value) ? fmin(fmax((value - low) / (high - low), 0), 1) : 0, rgb);
            for (int32_t y = 0; y < BAND_PIXELS; y++)
                for (int32_t x = 0; x < zoom; x++) set_pixel(c, n * zoom + x, (bands - 1 - b) * BAND_PIXELS + y, rgb);
        }
}

static f5_status write_picture(const char *path, const float *mel, int32_t frames, int32_t bands,
                               double frames_per_second, f5_error *error) {
    int32_t zoom = frames < MAX_WIDTH / 8 ? 2 : 1;
    canvas c = {.width = frames * zoom, .height = bands * BAND_PIXELS + AXIS_PIXELS};
    float low = 0, high = 1;
    F5_TRY(value_range(mel, (size_t)frames * (size_t)bands, &low, &high, error));
    size_t bytes = 3 * (size_t)c.width * (size_t)c.height;
    c.rgb = malloc(bytes);
    if (!c.rgb) return f5_fail(error, F5_E_MEMORY, "%s: no memory for %d by %d pixels", path, c.width, c.height);
    memset(c.rgb, 255, bytes);
    draw_mel(&c, mel, frames, bands, zoom, low, high);
    draw_axis(&c, bands * BAND_PIXELS, frames_per_second * zoom);

    output_file out;
    f5_status status = output_begin(&out, path, error);
    if (status == F5_OK) {
        png_image image = {.version = PNG_IMAGE_VERSION,
                           .width = (png_uint_32)c.width,
                           .height = (png_uint_32)c.height,
                           .format = PNG_FORMAT_RGB};
        if (png_image_write_to_stdio(&image, out.stream, 0, c.rgb, 0, NULL)) {
            status = output_commit(&out, error);
        } else {
            int reason = output_failed(&out);
            output_abort(&out);
            status =
                f5_fail(error, F5_E_IO, "%s: cannot be written: %s", path, reason ? strerror(reason) : image.message);
        }
    }
    free(c.rgb);
    return status;
}

/* Means of `share` frames each, in memory of their own; the last has what is left. */
static float *fewer_frames(const float *mel, int32_t frames, int32_t bands, int32_t share, int32_t columns) {
    float *mean = calloc((size_t)columns * (size_t)bands, sizeof *mean);
    for (int32_t n = 0; mean && n < frames; n++) {
        int32_t column = n / share, left = frames - column * share, parts = left < share ? left : share;
        for (int32_t b = 0; b < bands; b++)
            mean[(int64_t)column * bands + b] += mel[(int64_t)n * bands + b] / (float)parts;
    }
    return mean;
}

f5_status mel_png_write(const char *path, const float *mel, int32_t frames, int32_t bands, double frames_per_second,
                        f5_error *error) {
    if (frames < 1 || bands < 1 || bands > 1024)
        return f5_fail(error, F5_E_ARGUMENT, "%s: a mel [%d,%d] does not make a picture", path, frames, bands);
    if (frames <= MAX_WIDTH) return write_picture(path, mel, frames, bands, frames_per_second, error);
    int32_t share = (frames - 1) / MAX_WIDTH + 1, columns = (frames - 1) / share + 1;
    float *mean = fewer_frames(mel, frames, bands, share, columns);
    if (!mean) return f5_fail(error, F5_E_MEMORY, "%s: no memory for a picture", path);
    f5_status status = write_picture(path, mean, columns, bands, frames_per_second / share, error);
    free(mean);
    return status;
}
