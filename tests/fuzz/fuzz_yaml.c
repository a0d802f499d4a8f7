/* Any text: no crash, no hang; a tree or an error. The JSON of a tree must be read back as the same
 * JSON, which holds typing, escaping and order together. */
#include "base/check.h"
#include "base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_roundtrip(const struct yaml_node *root)
{
    CLEANUP(diag_deinit) struct diag d;
    CLEANUP(buf_deinit) struct buf first, second;

    diag_init(&d);
    buf_init(&first, 1 << 20);
    buf_init(&second, 1 << 20);
    yaml_to_json(root, &first);
    if (first.has_failed)
        return;
    CLEANUP(yaml_freep) struct yaml_node *again = yaml_parse(buf_str(&first), "json", &d);
    /* Refused: keys over 1024 bytes are an error in YAML, and so are DEL and the C1 controls. */
    if (!again)
        return;
    yaml_to_json(again, &second);
    must(str_eq(buf_str(&first), buf_str(&second)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(diag_deinit) struct diag d;

    diag_init(&d);
    CLEANUP(yaml_freep)
    struct yaml_node *root = yaml_parse((str){(const char *)data, size}, "fuzz", &d);
    must((root == NULL) == (d.errors > 0));
    if (root)
        check_roundtrip(root);
    return 0;
}
