// valijson SCHEMA DOCUMENT...: nanoseconds for one check of each document, one line each.
#include <chrono>
#include <cstdio>
#include <rapidjson/document.h>
#include <valijson/adapters/rapidjson_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/utils/rapidjson_utils.hpp>
#include <valijson/validator.hpp>

int main(int argc, char **argv)
{
    rapidjson::Document schema_doc;
    valijson::Schema schema;
    valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
    valijson::Validator validator;

    if (!valijson::utils::loadDocument(argv[1], schema_doc))
        return 1;
    parser.populateSchema(valijson::adapters::RapidJsonAdapter(schema_doc), schema);
    for (int i = 2; i < argc; i++) {
        rapidjson::Document doc;
        if (!valijson::utils::loadDocument(argv[i], doc))
            return 1;
        valijson::adapters::RapidJsonAdapter target(doc);
        double best = 1e18;
        bool ok = false;
        for (int round = 0; round < 10; round++) {
            int n = 0;
            double took;
            auto from = std::chrono::steady_clock::now();
            do {
                ok = validator.validate(schema, target, nullptr);
                n++;
                took = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - from).count();
            } while (took < 4e7);
            best = std::min(best, took / n);
        }
        printf("%s %d %.0f\n", argv[i], ok, best);
    }
}
