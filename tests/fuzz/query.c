/* query: any query string of GET /history, /actions, /status and /capacity. */
#include "fuzz.h"

#include "api/api_query.h"
#include "base/text.h"
#include "rules/words.h"

static void check_fault(const struct fields *fields)
{
    check(!fields_are_good(fields));
    check(strlen(fields->field) < sizeof fields->field);
    check(strlen(fields->fault) < sizeof fields->fault);
}

static void check_filter(const char *query)
{
    struct fields fields = {.inside = ""};
    struct reader_filter filter;

    if (!api_query_filter(query, &filter, &fields)) {
        check_fault(&fields);
    } else {
        check(fields_are_good(&fields));
        check(filter.limit >= 1 && filter.limit <= READER_LIMIT_MAX);
        check(filter.state == -1 || filter.state > LEASE_ACTIVE);
        for (int i = 0; i < 2; i++) {
            const char *text = i ? filter.branch : filter.stack_name;
            if (text)
                check(strlen(text) <= FIELD_NAME_MAX && text_is_utf8(text, strlen(text)));
        }
    }
    reader_filter_free(&filter);
}

static void check_view(const char *query)
{
    struct fields fields = {.inside = ""};
    struct reader_view view;

    if (!api_query_view(query, &view, &fields)) {
        check_fault(&fields);
    } else {
        check(view.limit <= READER_VIEW_MAX && view.parts <= READER_ALL);
        if (view.find)
            check(strlen(view.find) <= FIELD_NAME_MAX &&
                  text_is_utf8(view.find, strlen(view.find)));
    }
    reader_view_free(&view);
}

static void check_target(const char *query)
{
    struct fields fields = {.inside = ""};
    uint64_t target_s = API_TARGET_S;

    if (!api_query_target(query, &target_s, &fields))
        check_fault(&fields);
    else
        check(target_s <= 3600);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *query = fuzz_text(data, size);

    check_filter(query);
    check_view(query);
    check_target(query);
    free(query);
    return 0;
}
