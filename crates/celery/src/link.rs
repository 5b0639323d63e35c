//! Connections to Celery's Redis.
