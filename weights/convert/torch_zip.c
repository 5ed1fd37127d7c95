/* torch_zip.c — finds the stored entries of a torch.save archive in its mapping. */
#include "weights/convert/torch_zip.h"

#include <stdlib.h>
#include <string.h>

#include "weights/convert/quote.h"

enum {
    LOCAL_BYTES = 30,
    CENTRAL_BYTES = 46,
    END_BYTES = 22,
    END64_BYTES = 56,
    LOCATOR_BYTES = 20,
    COMMENT_MAX = 65535,
    SIGNATURE_LOCAL = 0x04034b50,
    SIGNATURE_CENTRAL = 0x02014b50,
    SIGNATURE_END = 0x06054b50,
    SIGNATURE_END64 = 0x06064b50,
    SIGNATURE_LOCATOR = 0x07064b50,
    EXTRA_ZIP64 = 0x0001,
    FLAG_ENCRYPTED = 0x0001
};

static uint16_t u16(const uint8_t *p) {
    return (uint16_t)(p[0] | p[1] << 8);
}
static uint32_t u32(const uint8_t *p) {
    return (uint32_t)u16(p) | (uint32_t)u16(p + 2) << 16;
}
static uint64_t u64(const uint8_t *p) {
    return (uint64_t)u32(p) | (uint64_t)u32(p + 4) << 32;
}

/* What the end records say: where the central directory lies and how many entries it has. */
typedef struct {
    uint64_t offset, bytes, entries;
    uint64_t end; /* file offset of the first end record: nothing of the archive reaches beyond it */
} directory;

bool torch_zip_is(const uint8_t *file, size_t bytes) {
    return bytes >= 4 && u32(file) == SIGNATURE_LOCAL;
}

static f5_status read_end64(directory *dir, const uint8_t *file, uint64_t locator, const char *path, f5_error *error) {
    const uint8_t *p = file + locator;
    uint64_t end64 = u64(p + 8);
    if (u32(p + 4) != 0 || u32(p + 16) > 1)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: zip archive split over several disks", path);
    if (end64 > locator || locator - end64 < END64_BYTES || u32(file + end64) != SIGNATURE_END64)
        return f5_fail(error, F5_E_FORMAT, "%s: zip64 end record is not where its locator says", path);
    p = file + end64;
    if (u32(p + 16) != 0 || u32(p + 20) != 0 || u64(p + 24) != u64(p + 32))
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: zip archive split over several disks", path);
    *dir = (directory){.offset = u64(p + 48), .bytes = u64(p + 40), .entries = u64(p + 32), .end = end64};
    return F5_OK;
}

/* The end record is the last thing in the file but for a comment of its own stated length. */
static f5_status find_directory(directory *dir, const uint8_t *file, size_t bytes, const char *path, f5_error *error) {
    if (bytes < END_BYTES) return f5_fail(error, F5_E_FORMAT, "%s: too short for a zip archive", path);
    uint64_t last = bytes - END_BYTES, end = last, first = last > COMMENT_MAX ? last - COMMENT_MAX : 0;
    while (u32(file + end) != SIGNATURE_END || u16(file + end + 20) != last - end) {
        if (end == first)
            return f5_fail(error, F5_E_FORMAT,
                           "%s: zip archive without its end record; the file is cut short, get it again", path);
        end--;
    }
    const uint8_t *p = file + end;
    if (end >= LOCATOR_BYTES && u32(p - LOCATOR_BYTES) == SIGNATURE_LOCATOR) {
        F5_TRY(read_end64(dir, file, end - LOCATOR_BYTES, path, error));
    } else {
        if (u16(p + 4) != 0 || u16(p + 6) != 0 || u16(p + 8) != u16(p + 10))
            return f5_fail(error, F5_E_UNSUPPORTED, "%s: zip archive split over several disks", path);
        *dir = (directory){.offset = u32(p + 16), .bytes = u32(p + 12), .entries = u16(p + 10), .end = end};
    }
    if (dir->offset > dir->end || dir->bytes > dir->end - dir->offset)
        return f5_fail(error, F5_E_FORMAT, "%s: zip central directory reaches beyond the file", path);
    if (dir->entries > TORCH_ZIP_MAX_ENTRIES || dir->entries > dir->bytes / CENTRAL_BYTES)
        return f5_fail(error, F5_E_FORMAT, "%s: zip archive says it has %llu entries, more than fit", path,
                       (unsigned long long)dir->entries);
    return F5_OK;
}

/* Replaces the fields that the short record marks as "see zip64" by those of the extra field, in the fixed order. */
static bool read_extra64(const uint8_t *extra, size_t bytes, uint64_t *size, uint64_t *packed, uint64_t *begin) {
    uint64_t *field[3] = {size, packed, begin};
    bool wanted = *size == UINT32_MAX || *packed == UINT32_MAX || *begin == UINT32_MAX;
    while (wanted && bytes >= 4) {
        size_t length = u16(extra + 2);
        if (length > bytes - 4) return false;
        if (u16(extra) == EXTRA_ZIP64) {
            const uint8_t *p = extra + 4;
            for (int i = 0; i < 3; i++) {
                if (*field[i] != UINT32_MAX) continue;
                if (length < 8) return false;
                *field[i] = u64(p);
                p += 8;
                length -= 8;
            }
            return true;
        }
        extra += 4 + length;
        bytes -= 4 + length;
    }
    return !wanted;
}

static f5_status read_entry(torch_zip_entry *entry, const uint8_t *record, const uint8_t *file, const directory *dir,
                            const char *path, f5_error *error) {
    size_t name_length = u16(record + 28), extra_length = u16(record + 30);
    const char *name = (const char *)record + CENTRAL_BYTES;
    uint64_t size = u32(record + 24), packed = u32(record + 20), begin = u32(record + 42);
    quoted_name q = quote(name, name_length);
    if (u16(record + 8) & FLAG_ENCRYPTED)
        return f5_fail(error, F5_E_UNSUPPORTED, "%s: entry '%s' is encrypted", path, q.text);
    if (u16(record + 10) != 0)
        return f5_fail(error, F5_E_UNSUPPORTED,
                       "%s: entry '%s' is compressed; torch.save never compresses: load and save it again with torch",
                       path, q.text);
    if (!read_extra64((const uint8_t *)name + name_length, extra_length, &size, &packed, &begin))
        return f5_fail(error, F5_E_FORMAT, "%s: entry '%s' lacks its zip64 sizes", path, q.text);
    if (size != packed)
        return f5_fail(error, F5_E_FORMAT, "%s: stored entry '%s' has two different sizes", path, q.text);

    /* the local header only says how far the data is from it */
    if (begin > dir->offset || dir->offset - begin < LOCAL_BYTES)
        return f5_fail(error, F5_E_FORMAT, "%s: entry '%s' begins outside the archive", path, q.text);
    const uint8_t *local = file + begin;
    uint64_t room = dir->offset - begin - LOCAL_BYTES, skip = (uint64_t)u16(local + 26) + u16(local + 28);
    if (u32(local) != SIGNATURE_LOCAL || skip > room || u16(local + 26) != name_length ||
        memcmp(local + LOCAL_BYTES, name, name_length) != 0)
        return f5_fail(error, F5_E_FORMAT, "%s: entry '%s' has no local header of its name", path, q.text);
    if (size > room - skip)
        return f5_fail(error, F5_E_FORMAT, "%s: entry '%s' reaches beyond the archive", path, q.text);
    *entry = (torch_zip_entry){.name = name,
                               .name_length = (uint32_t)name_length,
                               .data = local + LOCAL_BYTES + skip,
                               .size = size,
                               .begin = begin};
    return F5_OK;
}

static int by_begin(const void *a, const void *b) {
    const torch_zip_entry *left = a, *right = b;
    return (left->begin > right->begin) - (left->begin < right->begin);
}

static int compare_names(const char *a, size_t a_length, const char *b, size_t b_length) {
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

static int by_name(const void *a, const void *b) {
    const torch_zip_entry *left = a, *right = b;
    return compare_names(left->name, left->name_length, right->name, right->name_length);
}

static f5_status check_overlap(const torch_zip *zip, const uint8_t *file, const char *path, f5_error *error) {
    qsort(zip->entry, zip->count, sizeof *zip->entry, by_begin);
    for (size_t i = 0; i + 1 < zip->count; i++) {
        const torch_zip_entry *e = &zip->entry[i];
        if ((uint64_t)(e->data - file) + e->size > e[1].begin)
            return f5_fail(error, F5_E_FORMAT, "%s: entries '%s' and '%s' overlap", path,
                           quote(e->name, e->name_length).text, quote(e[1].name, e[1].name_length).text);
    }
    return F5_OK;
}

f5_status torch_zip_sort(torch_zip *zip, const char *path, f5_error *error) {
    qsort(zip->entry, zip->count, sizeof *zip->entry, by_name);
    for (size_t i = 0; i + 1 < zip->count; i++)
        if (by_name(&zip->entry[i], &zip->entry[i + 1]) == 0)
            return f5_fail(error, F5_E_FORMAT, "%s: entry '%s' is there twice", path,
                           quote(zip->entry[i].name, zip->entry[i].name_length).text);
    return F5_OK;
}

/* PREFIX is what stands before the one data.pkl; entries outside of that folder are dropped. */
static f5_status strip_prefix(torch_zip *zip, const char *path, f5_error *error) {
    static const char pickle[] = "/data.pkl";
    const size_t tail = sizeof pickle - 1;
    const torch_zip_entry *root = NULL;
    for (size_t i = 0; i < zip->count; i++) {
        const torch_zip_entry *e = &zip->entry[i];
        if (e->name_length <= tail || memcmp(e->name + e->name_length - tail, pickle, tail) != 0) continue;
        if (memchr(e->name, '/', e->name_length - tail)) continue;
        if (root) return f5_fail(error, F5_E_FORMAT, "%s: more than one data.pkl in the archive", path);
        root = e;
    }
    if (!root)
        return f5_fail(error, F5_E_FORMAT, "%s: a zip archive but not a PyTorch checkpoint: no NAME/data.pkl inside",
                       path);
    const char *prefix = root->name;
    uint32_t prefix_length = root->name_length - (uint32_t)tail + 1; /* with the slash */
    size_t kept = 0;
    for (size_t i = 0; i < zip->count; i++) {
        torch_zip_entry e = zip->entry[i];
        if (e.name_length <= prefix_length || memcmp(e.name, prefix, prefix_length) != 0) continue;
        e.name += prefix_length;
        e.name_length -= prefix_length;
        zip->entry[kept++] = e;
    }
    zip->count = kept;
    return torch_zip_sort(zip, path, error);
}

static f5_status read_directory(torch_zip *zip, const directory *dir, const uint8_t *file, const char *path,
                                f5_error *error) {
    const uint8_t *record = file + dir->offset;
    uint64_t left = dir->bytes;
    for (; zip->count < dir->entries; zip->count++) {
        if (left < CENTRAL_BYTES || u32(record) != SIGNATURE_CENTRAL)
            return f5_fail(error, F5_E_FORMAT, "%s: zip central directory is damaged at entry %zu", path, zip->count);
        uint64_t length = (uint64_t)CENTRAL_BYTES + u16(record + 28) + u16(record + 30) + u16(record + 32);
        if (length > left)
            return f5_fail(error, F5_E_FORMAT, "%s: zip central directory is cut short at entry %zu", path, zip->count);
        F5_TRY(read_entry(&zip->entry[zip->count], record, file, dir, path, error));
        record += length;
        left -= length;
    }
    F5_TRY(check_overlap(zip, file, path, error));
    F5_TRY(strip_prefix(zip, path, error));
    const torch_zip_entry *order = torch_zip_find(zip, "byteorder", 9);
    if (order && (order->size != 6 || memcmp(order->data, "little", 6) != 0))
        return f5_fail(error, F5_E_UNSUPPORTED,
                       "%s: saved on a big-endian machine; save it again on a little-endian one", path);
    return F5_OK;
}

f5_status torch_zip_open(torch_zip *zip, const uint8_t *file, size_t bytes, const char *path, f5_error *error) {
    *zip = (torch_zip){0};
    directory dir = {0};
    F5_TRY(find_directory(&dir, file, bytes, path, error));
    zip->entry = calloc(dir.entries + 1, sizeof *zip->entry);
    if (!zip->entry) return f5_fail(error, F5_E_MEMORY, "%s: out of memory for the zip directory", path);
    f5_status status = read_directory(zip, &dir, file, path, error);
    if (status != F5_OK) torch_zip_close(zip);
    return status;
}

void torch_zip_close(torch_zip *zip) {
    free(zip->entry);
    *zip = (torch_zip){0};
}

const torch_zip_entry *torch_zip_find(const torch_zip *zip, const char *name, size_t length) {
    size_t low = 0, high = zip->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const torch_zip_entry *e = &zip->entry[middle];
        int order = compare_names(name, length, e->name, e->name_length);
        if (order == 0) return e;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
