"""The table of peers: what it says of tests that held in one place and not in another."""

from tests.interop import BEGIN, END, Case, table, with_table


def test_each_case_has_a_row_which_says_whether_it_held_everywhere() -> None:
    reads, writes = Case("coap", "libcoap", "reads"), Case("coap", "libcoap", "writes")
    other = Case("bacnet", "Bac", "is found")
    rows = table([(writes, False), (reads, True), (other, True), (writes, True)]).splitlines()[2:]
    assert rows == [
        "| [bacnet](bacnet.md) | Bac | is found | yes |",
        "| [coap](coap.md) | libcoap | reads | yes |",
        "| [coap](coap.md) | libcoap | writes | **no** |",
    ]


def test_only_the_table_of_a_page_is_made() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    made = with_table(page, "new\n")
    assert made == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert with_table(made, "new\n") == made
