"""The incident that stepcreds ends, played twice on real servers: as pipelines do it today, and with stepcreds."""
