"""Many studies: found, denoised one a task on dask.distributed, booked, and summed up."""
