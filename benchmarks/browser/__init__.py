"""The JavaScript client in a real browser, behind a proxy that cuts its connections."""
