//! Events of tasks and of this worker, as Flower and `celery events` read them.
