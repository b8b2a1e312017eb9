"""Functions of values about a series: is it whole, what do its headers say, which rule holds, which one is best."""
