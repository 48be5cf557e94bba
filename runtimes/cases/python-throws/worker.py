def worker(request):
    return 1 / 0
