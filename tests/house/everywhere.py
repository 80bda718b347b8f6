"""One test for a rule that holds for thousands of files: a test for each would take longer to count
than to ask."""


def everywhere(cases):
    """Ask a test of every case, and list all that fail, each with its own words."""
    cases = list(cases)

    def of(rule):
        def test():
            assert cases, "a rule that is asked of nothing cannot fail"
            failed = []
            for case in cases:
                try:
                    rule(case)
                except Exception as e:
                    failed.append(f"{case}: {type(e).__name__}: {e}")
            assert not failed, "\n".join(["", *failed])

        test.__name__ = rule.__name__
        test.__qualname__ = rule.__qualname__
        test.__doc__ = rule.__doc__
        test.__module__ = rule.__module__
        return test

    return of
