/* yaml_scalar.h: what the text of a YAML scalar means (YAML 1.2.2 section 10.3, core schema), for
 * yaml.c; and how a text is shown in findings, for all readers of configuration. */
#ifndef BASE_YAML_SCALAR_H
#define BASE_YAML_SCALAR_H
#include "base/yaml.h"

/* Set the type and value of a scalar that was written without quotes. */
void yaml_type_plain(struct yaml_node *n);
/* The same with an explicit tag ("tag:yaml.org,2002:str"). False: the tag is none of the core
 * schema, or the text is none of its values. Lists and maps are only checked. */
bool yaml_type_tagged(struct yaml_node *n, str tag);
/* The beginning of a text, on one line and short enough to quote in a finding. */
str yaml_shown(str text);
#endif
